"""`bytespike check-config`: is a catalogue usable, and what does it offer?"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bytespike_contracts.catalogue import Catalogue, CatalogueError, parse_catalogue

__all__ = ["check_config", "default_catalogue"]


def default_catalogue(env: Mapping[str, str]) -> Path:
    """``BYTESPIKE_CATALOGUE``, or the one of the source tree this runs from."""
    source_tree = Path(__file__).parents[2]
    return Path(env.get("BYTESPIKE_CATALOGUE") or source_tree / "deploy/catalogue/default.toml")


def check_config(path: Path, env: Mapping[str, str]) -> int:
    """Print what the file offers, or every problem in it; returns the exit code."""
    try:
        catalogue = parse_catalogue(path.read_text(), env)
    except (OSError, UnicodeDecodeError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    except CatalogueError as error:
        sys.stderr.writelines(f"{path}: {problem}\n" for problem in error.problems)
        return 1
    for warning in _warnings(catalogue):
        print(f"{path}: warning: {warning}", file=sys.stderr)
    dialects = Counter(channel.dialect for channel in catalogue.channels.values())
    by_dialect = ", ".join(f"{count} {dialect}" for dialect, count in dialects.most_common())
    print(
        f"{path}: good. {len(catalogue.models)} models, {len(catalogue.channels)} channels "
        f"({by_dialect}), {len(catalogue.groups)} groups, price revision {catalogue.revision}"
    )
    return 0


def _warnings(catalogue: Catalogue) -> list[str]:
    """What is legal but hardly meant: models that no caller can ever reach."""
    warnings = [
        f"model {model.id} has no price, so it is never routed"
        for model in catalogue.models.values()
        if model.price is None
    ]
    channels = [channel for channel in catalogue.channels.values() if channel.enabled]
    served = {model_id for channel in channels for model_id in channel.models}
    warnings += [f"no channel serves {name}" for name in catalogue.models if name not in served]
    for group in catalogue.groups:
        for model_id in sorted(served):
            if catalogue.in_group(group, model_id) and not catalogue.channels_for(group, model_id):
                warnings.append(f"group {group} offers {model_id}, but no channel serves it there")
    return warnings
