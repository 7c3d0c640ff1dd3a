"""What pages and the API both show: values put together from several rooms, free of HTTP."""
