"""The Kafka topic that carries the chat lines."""
