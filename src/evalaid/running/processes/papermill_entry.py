"""The entry point ``evalaid`` of ``papermill.engine``: Papermill loads it while it is itself being imported."""

from __future__ import annotations

from typing import Any


class EngineByName:
    """The forked engine, imported when a notebook is executed: an import of Papermill here would go in a circle."""

    @classmethod
    def execute_notebook(cls, *arguments: Any, **options: Any) -> Any:
        """Execute a notebook as `evalaid.running.processes.forked_engine.ForkedEngine` does."""
        from evalaid.running.processes.forked_engine import ForkedEngine

        return ForkedEngine.execute_notebook(*arguments, **options)
