"""Gate one: what each disk format may hold, judged on the passing stream."""
