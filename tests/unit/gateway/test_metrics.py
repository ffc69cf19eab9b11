from __future__ import annotations

import asyncio

from supervisor.config.model import Gateway
from supervisor.gateway.hub import Hub
from supervisor.gateway.metrics import metrics
from supervisor.gateway.routing import Worker
from tests.exposition import parse


def test_every_counter_is_shown_and_foreign_codes_are_quoted() -> None:
    async def scenario() -> None:
        hub = Hub(Gateway(), asyncio.get_running_loop().time)
        hub.set_workers([Worker("w", "e" * 32, 1, "/nowhere", True)])
        counters = hub.counters
        counters.requests, counters.resumed = 7, 2
        counters.gap(1.5)
        counters.fail("queue_full")
        counters.fail('a "strange"\n\\code')
        found = parse(metrics(hub))
        assert found["glyph_gateway_requests_total"] == 7
        assert found["glyph_gateway_resumed_total"] == 2
        assert found["glyph_gateway_longest_gap_seconds"] == 1.5
        assert found['glyph_gateway_failed_total{code="queue_full"}'] == 1
        assert found[r'glyph_gateway_failed_total{code="a \"strange\"\n\\code"}'] == 1
        assert found['glyph_gateway_workers{route="open"}'] == 1
        assert found['glyph_gateway_workers{route="closed"}'] == 0
        published = {name for name in counters.snapshot() if name != "failed"}
        assert {f"glyph_gateway_{name}_total" for name in published} <= found.keys()

    asyncio.run(scenario())
