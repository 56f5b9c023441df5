"""The package as another project has it: a wheel, installed into an environment of its own."""
