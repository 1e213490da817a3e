"""Change a pure module one place at a time and run its tests: ``python -m tests.mutation checks/importing/times.py``.

mutmut writes the changed functions (docs/development.md, "Mutation testing"). Unlike ``mutmut run``, this collects the tests
once and tries each change in a fork of that process, the quickest tests first, with empty caches: a change costs
milliseconds instead of a start of pytest, and is not hidden by what an earlier test left in a cache.
"""

import argparse
import fnmatch
import functools
import gc
import importlib.machinery
import importlib.util
import os
import resource
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from difflib import unified_diff
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
TESTS: dict[str, list[str]] = PROJECT["mutation"]
PACKAGES = tuple(PROJECT["mutmut"]["source_paths"])
# CPU seconds that the tests of one change may take beyond ten times what they take without it.
SECONDS = 5


class MutatedModule(MetaPathFinder):
    """Imports one module (``path`` from the root) in a form that holds every changed function and calls the chosen one."""

    def __init__(self, path: str) -> None:
        self.name = path.removesuffix(".py").replace("/", ".")
        self.path, self.file = path, ROOT / path
        self.mutated: MutatedFile = mutate_file_contents(path, self.file.read_text(encoding="utf-8"))
        self.lines = self.mutated.code.splitlines()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.file))

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.file)
        exec(compile(self.mutated.code, str(self.file), "exec"), module.__dict__)

    def difference(self, mutant: str) -> str:
        """The lines that a change replaces, and what it puts there."""
        original = f"{mutant.partition('__mutmut_')[0]}__mutmut_orig"
        diff = unified_diff(self._source(original), self._source(mutant), lineterm="", n=0)
        return "\n".join(line for line in diff if not line.startswith(("---", "+++", "@@")))

    def _source(self, function: str) -> list[str]:
        span = self.mutated.line_span_by_function_name[function]
        return [line.replace(function, "") for line in self.lines[span.start - 1 : span.end]]


class Mutation:
    """The plugin of pytest that runs the collected tests once for each change."""

    def __init__(self, modules: Sequence[MutatedModule], only: Sequence[str], longest: float) -> None:
        self.modules, self.only, self.longest = modules, only, longest
        self.is_child = False
        self.durations: dict[str, float] = {}
        self.tests: dict[str, list[pytest.Item]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Random examples are the same each time, and one that fails is not made smaller."""
        # pytest rewrites its assertions, and warns about what is imported before.
        from hypothesis import Phase, settings

        fixed = settings.get_profile("fixed")
        settings.register_profile("mutation", fixed, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("The tests cannot be collected.")
        self.caches = [
            each
            for each in gc.get_objects()
            if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith(PACKAGES)
        ]
        self._measure(session.items)
        gc.freeze()
        for module in self.modules:
            self._try_all(module)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """End with the first failure: its report, with the source of each frame, would take longer than the tests."""
        if self.is_child and call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(1)

    def _measure(self, items: list[pytest.Item]) -> None:
        """Run each test without a change: how long it takes, and which functions it calls."""
        set_mutant_under_test("stats")
        for item in items:
            state()._stats.clear()
            begin = time.process_time()
            if not self._passes([item]):
                raise pytest.UsageError(f"{item.nodeid} fails without a change.")
            self.durations[item.nodeid] = time.process_time() - begin
            for function in state()._stats if self.durations[item.nodeid] <= self.longest else ():
                self.tests[function].append(item)
        print(f"{len(items)} tests, {sum(self.durations.values()):.1f} s of CPU", flush=True)

    def _try_all(self, module: MutatedModule) -> None:
        tried: dict[str, int] = defaultdict(int)
        survivors: dict[str, int] = defaultdict(int)
        for mutant in module.mutated.mutant_names:
            function = mutant.partition("__mutmut_")[0]
            name = function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
            if not any(fnmatch.fnmatch(name, pattern) for pattern in self.only):
                continue
            found = self.tests[f"{module.name}.{function}"]
            items = [item for item in found if item.nodeid.partition("::")[0] in TESTS[module.path]]
            tried[name] += 1
            if self._survives(f"{module.name}.{mutant}", items):
                survivors[name] += 1
                print(f"\n{module.name}.{name}, {len(items)} tests\n{module.difference(mutant)}", flush=True)
        print(
            f"\n{module.name}: {sum(tried.values()) - sum(survivors.values())} of {sum(tried.values())} killed"
        )
        for name, number in survivors.items():
            print(f"  {name}: {tried[name] - number} of {tried[name]}", flush=True)

    def _survives(self, mutant: str, items: list[pytest.Item]) -> bool:
        items = sorted(items, key=lambda item: self.durations[item.nodeid])
        child = os.fork()
        if not child:
            expected = sum(self.durations[item.nodeid] for item in items)
            seconds = int(time.process_time() + SECONDS + 10 * expected)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            set_mutant_under_test(mutant)
            self.is_child = True
            os._exit(0 if self._passes(items) else 1)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0

    def _passes(self, items: Sequence[pytest.Item]) -> bool:
        """Whether all of the tests pass, beginning with empty caches."""
        for cache in self.caches:
            cache.cache_clear()
        return not any(
            report.failed
            for item, following in zip(items, (*items[1:], None), strict=True)
            for report in runtestprotocol(item, log=False, nextitem=following)
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "modules", nargs="+", choices=sorted(TESTS), metavar="module", help="of [tool.mutation]"
    )
    parser.add_argument(
        "--only", nargs="+", default=["*"], help="the functions to change: 'Factors.*' _items"
    )
    parser.add_argument(
        "--longest", type=float, default=0.5, help="CPU seconds of the longest test that is used"
    )
    options = parser.parse_args()
    os.chdir(ROOT)
    modules = [MutatedModule(path) for path in options.modules]
    set_mutant_under_test("")
    sys.meta_path[:0] = modules
    tests = sorted({test for path in options.modules for test in TESTS[path]})
    mutation = Mutation(modules, options.only, options.longest)
    if code := pytest.main(["-qq", "-s", "-p", "no:cov", "--assert=plain", *tests], plugins=[mutation]):
        raise SystemExit(code)


if __name__ == "__main__":
    main()
