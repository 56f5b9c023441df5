"""Other libraries beside ours: what a request costs, and how many too many they let through."""
