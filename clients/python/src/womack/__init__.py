"""Publishes real-time events to browsers through a Womack server.

This package is the publishing half only: `womack.publish.Publisher` for ordinary code and
`womack.aio.Publisher` for asyncio. `womack.config.config` says which Redis they use.
"""
