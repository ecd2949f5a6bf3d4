"""Whole topologies in one test: services, their registry and configuration, and their mishaps.

@in_virtual_time
async def test_clients_survive_an_outage_of_the_registry():
async with Topology() as t:
await t.start(build_greeter, replicas=3)
greeter = GreeterClient(await t.connect("greeter"))
t.registry.down()
await t.pass_time(600)
await greeter.say_hello(HelloRequest(name="kratos"))
t.registry.up()
await t.registered("greeter", 3, within=60)
"""

from kratos.testing.topology._calls import Calls, Ended
from kratos.testing.topology._registry import TopologyRegistry
from kratos.testing.topology._replica import Replica
from kratos.testing.topology._topology import Replicas, Topology

__all__ = ["Calls", "Ended", "Replica", "Replicas", "Topology", "TopologyRegistry"]
