"""The page that tunes without code: a folder, commands that it starts and watches, and the tabs on top of them."""
