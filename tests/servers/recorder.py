# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service of `btcore.testing`, by the name that this project's own tests use."""

from btcore.testing.kit.hosted_service import HostedService as Recorder
from btcore.testing.kit.hosted_service import Reply, Request, request

__all__ = ["Recorder", "Reply", "Request", "request"]
