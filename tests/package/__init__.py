"""The package in another project: a wheel, installed into a separate environment."""
