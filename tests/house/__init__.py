"""The house: processes, environment, walls."""
