"""The audit trail: who did what, when and from where. One model and one writer, below every other app."""
