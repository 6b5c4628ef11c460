"""The demo: a simulated shop, an embedded broker and a worker, live in one terminal."""
