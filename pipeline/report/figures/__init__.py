"""The figures of a report: one module a subject, each with its caption."""
