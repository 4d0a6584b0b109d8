"""`desbuquei completion`: what a shell needs to complete commands, options, tiers and the ids of backups."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> int:
    """Print the script that makes a shell complete commands, options, tiers, databases and backup ids.

    Ids are those of backup-metadata.jsonl: neither the bucket nor the database is asked.

    \b
      eval "$(desbuquei completion bash)"      in ~/.bashrc
      eval "$(desbuquei completion zsh)"       in ~/.zshrc
      desbuquei completion fish | source       in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from desbuquei_backups.cli.main import COMPLETE, PROGRAM, cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, PROGRAM, COMPLETE).source())
    return 0
