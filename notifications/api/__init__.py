"""`/api/v1/`: mails, webhook endpoints, deliveries, preferences."""
