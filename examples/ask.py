"""Ask the coach from Python: python ask.py [MODEL] [HOST]; a GGUF file, or ollama:NAME on a server."""

import sys

from drivecoach import Coach
from drivecoach.domains.driving import VehicleState

model, *hosts = sys.argv[1:] or ["ollama:goDrive"]
state = VehicleState(
    site="科目三",
    item="起步",
    vehicle="手动挡",
    gear="1挡",
    handbrake="放下",
    engine="打火",
    seatbelt="未系",
    door="关闭",
    clutch="踩下",
    brake="踩下",
    accelerator="未踩",
    speed="静止",
    time="白天",
)

with Coach(model, *hosts, guard="replace") as coach:
    answer = coach.ask(state)
    print(f"{answer.level}: {answer.speech} ({'、'.join(answer.actions)})")
    print(f"from {answer.source}, {len(answer.violations)} violations, {answer.latency * 1000:.1f} ms")
