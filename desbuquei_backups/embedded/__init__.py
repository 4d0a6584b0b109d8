"""Servers from wheels, each for one purpose, for the demo, the tests and whoever asks for them by name.

All listen on loopback only, with generated passwords, and keep their state under one home folder (DESBUQUEI_HOME).
They are for trying out: the S3 server's inner ports ask no password, so whoever has an account on the machine gets in.
"""

from desbuquei_backups.embedded.client import servers
from desbuquei_backups.embedded.endpoints import Endpoints, PostgresServer, S3Server, Server
from desbuquei_backups.embedded.errors import EmbeddedError

__all__ = ["EmbeddedError", "Endpoints", "PostgresServer", "S3Server", "Server", "servers"]
