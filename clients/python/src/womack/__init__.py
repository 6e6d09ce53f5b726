"""Publishes real-time events to browsers through a Womack server, and hears of the browsers.

`womack.publish.Publisher` publishes, `womack.events.Listener` listens to what the server says of
its clients, and `womack.roster.Roster` makes a list of the users online out of it. `womack.aio`
has all three for asyncio. `womack.config.config` says which Redis they use. There is no server
code in this package.
"""
