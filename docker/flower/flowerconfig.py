"""Flower's own options: the login, the broker's management, how much is kept."""

from pathlib import Path
from urllib.parse import quote

password = Path("/run/secrets/admin_password").read_text().strip()

basic_auth = [f"admin:{password}"]
broker_api = f"http://admin:{quote(password, safe='')}@rabbit:15672/api/"
# It looks and does not touch: jobs are cancelled in Celeriac, workers are stopped by Compose.
read_only = True
max_tasks = 10_000
# A worker that was killed says nothing. After so many seconds it is off the pages, and off the metrics with all it did.
purge_offline_workers = 60
