"""The demo: a shop, an embedded broker and a worker, live in one terminal."""
