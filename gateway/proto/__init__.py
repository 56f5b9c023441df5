"""Messages of the gRPC interfaces, compiled by ``make proto`` from the .proto files in this folder."""
