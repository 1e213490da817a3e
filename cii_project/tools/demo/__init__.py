"""The demonstration: realistic data, and every part of the product started on one machine."""
