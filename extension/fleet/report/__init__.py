"""The fleet view as a document (JSON), and that document as HTML, Markdown and text, in both languages."""
