"""`tinygan play`: the game in a page, on the engine that trains.

session.py is one game that can be stepped, changed while it runs, and taken back; moves.py takes one of its steps apart;
views.py computes what a frame of the page shows; table.py does what the page asks for; host.py plays in a thread and tells
whoever watches. server.py serves the page (page/), safety.py decides who is let in; export.py writes a page that replays a game
without a server.
"""
