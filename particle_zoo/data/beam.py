"""Prepare a data set with Apache Beam: work items are spread over the workers of the runner."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam

from particle_zoo.clusters import Clusters
from particle_zoo.data.flat import FlatSizes
from particle_zoo.data.source import Contents
from particle_zoo.data.timepix import Item, TimepixSource


class SplitExamples(beam.PTransform):
    """Keys and examples of one split.

    Args:
        source: of the data set.
        config: its configuration.
        manual_dir: folder with the user's files; every worker must be able to read it.
        contents: of the source.
        split: name of the split.
        shared: a dict common to the splits of a pipeline, through which every item is worked on once.
    """

    def __init__(
        self,
        source: TimepixSource,
        config: str,
        manual_dir: Path | None,
        contents: Contents,
        split: str,
        shared: dict[str, Any],
    ) -> None:
        super().__init__()
        self.source, self.config, self.manual, self.contents = source, config, manual_dir, contents
        self.split, self.shared = split, shared

    def expand(self, begin: Any) -> Any:
        """The (key, example) pairs."""
        if not self.shared:
            self.shared["parts"] = self._parts(begin)
        source, config, contents, split = self.source, self.config, self.contents, self.split

        def examples(part: Clusters) -> Iterator[tuple[str, dict[str, Any]]]:
            return source.examples(part[(part.table["in_split"] == split).to_numpy()], config, contents)

        return self.shared["parts"] | f"Examples of {split}" >> beam.FlatMap(examples)

    def _parts(self, begin: Any) -> Any:
        source, config, manual, contents = self.source, self.config, self.manual, self.contents

        def work(item: Item) -> Iterator[Clusters]:
            return source.of_item(config, manual, item, contents)

        # Reshuffle: otherwise a runner may fuse everything into the step that lists the items.
        items = begin | "Items" >> beam.Create(source.items(config, manual)) | "Spread" >> beam.Reshuffle()
        parts = items | "Clusters" >> beam.FlatMap(work)
        empty = source.flat_sizes(config, manual)
        if empty is None:
            return parts

        def sizes(part: Clusters) -> FlatSizes:
            seen = copy.deepcopy(empty)
            seen.add(part)
            return seen

        def join(several: Iterable[FlatSizes]) -> FlatSizes:
            joined = copy.deepcopy(empty)
            joined.merge(several)
            return joined

        def keep(part: Clusters, flat: FlatSizes) -> Clusters:
            return flat.keep(part)

        flat = parts | "Sizes" >> beam.Map(sizes) | "All sizes" >> beam.CombineGlobally(join)
        return parts | "Keep" >> beam.Map(keep, beam.pvalue.AsSingleton(flat))
