"""Tools to test programs and brokers that use trioqueue."""
