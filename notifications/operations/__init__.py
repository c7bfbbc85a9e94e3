"""What may be done to mails, endpoints and deliveries: the only modules that write their rows."""
