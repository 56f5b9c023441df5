bucket_room = 0
