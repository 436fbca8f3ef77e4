"""Help that fits a screen: the options that most runs need, by topic; the rest on demand."""

from __future__ import annotations

from typing import Any

import click

#: Options that ``--help`` shows, by topic; ``--help-all`` shows the others as well.
TOPICS = {
    "Images": ("--data",),
    "Limits": ("--max-flops", "--max-params", "--max-latency", "--max", "--budgets", "--time"),
    "Search": ("--space", "--preset", "--image-size", "--algorithm", "--recipe", "--network"),
    "Run": (
        *("--out", "--reuse", "--compare", "--compare-with", "--seed", "--workers", "--yes"),
        *("--config", "--set", "--json", "--networks", "--seeds"),
    ),
}
OTHERS = "Other settings"
HELP = ("-h", "--help", "--help-all")


class TopicCommand(click.Command):
    """A command whose options are listed by topic."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.context_settings["show_default"] = True
        self.params.append(_help_all("Show all options."))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by topic."""
        records = {
            param.opts[0]: record
            for param in self.get_params(ctx)
            if (record := param.get_help_record(ctx)) is not None
        }
        listed = {*HELP, *(flag for flags in TOPICS.values() for flag in flags)}
        rest = [flag for flag in records if flag not in listed] if ctx.meta.get(OTHERS) else []
        for topic, flags in {**TOPICS, OTHERS: rest, "Help": HELP}.items():
            if rows := [records[flag] for flag in flags if flag in records]:
                with formatter.section(topic):
                    formatter.write_dl(rows, col_max=24)


class TopicGroup(click.Group):
    """The commands, of all of which it shows the help on demand."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params.append(_help_all("Show all options of all commands."))


def _help_all(text: str) -> click.Option:
    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help=text,
    )


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[OTHERS] = True
        commands = ctx.command.commands if isinstance(ctx.command, click.Group) else {}
        inside = [
            click.Context(one, ctx, info_name=name, **one.context_settings)
            for name, one in commands.items()
        ]
        click.echo("\n\n".join(one.get_help() for one in (ctx, *inside)), color=ctx.color)
        ctx.exit()
