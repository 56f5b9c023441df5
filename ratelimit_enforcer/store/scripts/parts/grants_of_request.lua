local grants_taken, record, endpoint, client_field = request.grants_taken, request.record, request.endpoint, request.client_field
