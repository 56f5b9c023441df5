"""Usage reports: what was counted in a period, by client, plan and more. Only reading."""
