"""How things are said: names quoted, tables, and text that any terminal or pipe takes."""
