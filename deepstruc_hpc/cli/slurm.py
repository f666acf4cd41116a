"""``deepstruc-hpc slurm …``: submit, watch and cancel jobs on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepstruc_hpc.cli.document import print_document

if TYPE_CHECKING:
    from deepstruc_hpc.runtime.batch_script import Job
    from deepstruc_hpc.runtime.profile import ClusterProfile

STAGE_HELP = "build, train, sweep or solve"
ARGUMENTS_HELP = "After --: the arguments of the command itself, as you would type them here."
CLUSTER = typer.Option(..., "--cluster", "-c", help="A cluster profile: a YAML file, or the name of one that comes with the program.")
PLACE = typer.Argument(Path(), help="The job's folder, the --out that it writes, or a directory with several.")


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Run the same commands as jobs on a SLURM cluster, on one node or many.")
    group.command("init")(init)
    group.command("submit")(submit)
    group.command("pipeline")(pipeline)
    group.command("status")(status)
    group.command("logs")(logs)
    group.command("cancel")(cancel)
    group.command("library")(library)
    app.add_typer(group, name="slurm")


def init(
    out: Path = typer.Option(Path("cluster.yaml"), "--out", help="Where to write the profile."),
    partition: str | None = typer.Option(None, "--partition", help="Which partition; the site's default otherwise."),
    force: bool = typer.Option(False, "--force", help="Replace an existing file."),
) -> None:
    """Ask SLURM what there is and write a first cluster profile.

    Example: deepstruc-hpc slurm init --partition gpu --out my-cluster.yaml
    """
    from deepstruc_hpc.runtime.slurm_discovery import write_profile

    for line in write_profile(out, partition=partition, force=force):
        typer.echo(line)


def submit(
    stage: str = typer.Argument(..., help=STAGE_HELP),
    arguments: list[str] = typer.Argument(None, help=ARGUMENTS_HELP),
    *,
    cluster: str = CLUSTER,
    nodes: int | None = typer.Option(None, "--nodes", help="Number of nodes, instead of the profile's."),
    time: str | None = typer.Option(None, "--time", help="Time limit, instead of the profile's, for example 02:00:00."),
    each: list[str] = typer.Option(
        [], "--each", help="Job array: one task for every folder; {} and {name} in the arguments stand for it. Repeatable."
    ),
    at_once: int = typer.Option(0, "--at-once", min=0, help="How many tasks of an array may run at the same time; 0: no limit."),
    after: str = typer.Option("", "--after", help="Start when this job has ended well."),
    accept_failed_items: bool = typer.Option(False, "--accept-failed-items", help="Count exit code 1 (some items failed) as done."),
    job_dir: Path | None = typer.Option(None, "--job-dir", help="Folder for script and logs; beside --out with .slurm at its end otherwise."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the batch script and submit nothing."),
) -> None:
    """Submit one command as a job; its id is printed.

    Example: deepstruc-hpc slurm submit train --cluster my-cluster.yaml --nodes 2 -- au.zarr --out runs/au

    A job for each folder: deepstruc-hpc slurm submit solve --cluster my-cluster.yaml --each data/day1 --each data/day2 -- {} --out results/{name}
    """
    from deepstruc_hpc.runtime import slurm
    from deepstruc_hpc.runtime.batch_script import render_script
    from deepstruc_hpc.runtime.profile import profile_name

    profile = _profile(cluster, stage, nodes=nodes, time=time)
    job = _job(stage, arguments or [], job_dir, each=each, at_once=at_once, accept_failed_items=accept_failed_items)
    if dry_run:
        typer.echo(render_script(job, profile, profile_name(cluster)), nl=False)
        return
    submission = slurm.submit(job, profile, profile_name(cluster), after=after)
    typer.echo(submission.job_id)
    typer.echo(f"script, logs and events: {job.job_dir}\nwatch it with: deepstruc-hpc slurm logs -f {job.job_dir}", err=True)


def pipeline(
    *,
    cluster: str = CLUSTER,
    build: str = typer.Option("", "--build", help="Arguments of catalog build, in one pair of quotes; without it the stage is left out."),
    train: str = typer.Option("", "--train", help="Arguments of train."),
    solve: str = typer.Option("", "--solve", help="Arguments of solve."),
    nodes: int | None = typer.Option(None, "--nodes", help="Number of nodes of each job, instead of the profile's."),
    accept_failed_items: bool = typer.Option(False, "--accept-failed-items", help="Go on when some items of a stage failed."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the batch scripts and submit nothing."),
) -> None:
    """Submit build, train and solve, each to start when the one before has ended well; their ids are printed.

    Example: deepstruc-hpc slurm pipeline --cluster my-cluster.yaml --build "demo --out au.zarr" --train "au.zarr --out runs/au"
    --solve "data --out results --catalog au.zarr --model runs/au"
    """
    import shlex

    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.runtime import slurm
    from deepstruc_hpc.runtime.batch_script import render_script
    from deepstruc_hpc.runtime.profile import profile_name

    wanted = {stage: shlex.split(text) for stage, text in (("build", build), ("train", train), ("solve", solve)) if text}
    if not wanted:
        raise ConfigError('slurm pipeline: no stage was given; for example --build "demo --out au.zarr" --train "au.zarr --out runs/au".')
    jobs = [_job(stage, words, None, accept_failed_items=accept_failed_items) for stage, words in wanted.items()]
    profiles = [_profile(cluster, job.stage, nodes=nodes) for job in jobs]
    if dry_run:
        for job, profile in zip(jobs, profiles, strict=True):
            typer.echo(render_script(job, profile, profile_name(cluster)))
        return
    for submission in slurm.submit_chain(jobs, profiles, profile_name(cluster)):
        typer.echo(f"{submission.stage} {submission.job_id}")


def status(place: Path = PLACE, as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """Say where the jobs of a folder stand.

    Example: deepstruc-hpc slurm status runs/au
    """
    import json
    from dataclasses import asdict

    from deepstruc_hpc.runtime.job_folder import find_job_dirs
    from deepstruc_hpc.runtime.slurm import job_states

    states = [(folder, state) for folder in find_job_dirs(place) for state in job_states(folder)]
    if as_json:
        print_document(json.dumps([{"job_dir": str(folder), **asdict(state)} for folder, state in states], indent=1))
        return
    for folder, state in states:
        facts = [state.nodes, state.elapsed, f"requeued {state.restarts}×" if state.restarts else "", state.reason]
        typer.echo(f"{state.job_id:>8}  {state.stage:<6} {state.state:<12} {folder.name}  {' '.join(fact for fact in facts if fact)}".rstrip())
        if state.event:
            typer.echo(f"          {state.event}")


def logs(
    place: Path = PLACE,
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on printing until the job has ended."),
    task: int | None = typer.Option(None, "--task", help="Which task of an array (0, 1, …)."),
    stage: str | None = typer.Option(None, "--stage", help=STAGE_HELP),
) -> None:
    """Print the log of the job that was submitted last from a folder.

    Example: deepstruc-hpc slurm logs -f runs/au
    """
    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.runtime.job_folder import find_job_dirs, read_record
    from deepstruc_hpc.runtime.slurm import follow_log, log_path

    found = [(one.submitted, folder, one) for folder in find_job_dirs(place) for one in read_record(folder) if stage in (None, one.stage)]
    if not found:
        raise ConfigError(f"{place}: no job of stage {stage} was submitted from here.")
    _, folder, submission = max(found, key=lambda entry: entry[0])
    for piece in follow_log(folder, submission, task=task, follow=follow):
        typer.echo(piece, nl=False)
    if not log_path(folder, submission, task).is_file():
        typer.echo(f"job {submission.job_id} has written no log yet; see deepstruc-hpc slurm status {folder}", err=True)


def cancel(place: Path = PLACE) -> None:
    """Cancel the jobs of a folder that wait or run.

    Example: deepstruc-hpc slurm cancel runs/au
    """
    from deepstruc_hpc.runtime.job_folder import find_job_dirs
    from deepstruc_hpc.runtime.slurm import cancel as cancel_jobs

    cancelled = [job_id for folder in find_job_dirs(place) for job_id in cancel_jobs(folder)]
    typer.echo("\n".join(cancelled) if cancelled else "nothing waits or runs")


def library() -> None:
    """Print the path of the shell library that brings Ray up in a job, for batch scripts written by hand.

    Example: source "$(deepstruc-hpc slurm library)"; run_on_ray deepstruc-hpc catalog build demo --out au.zarr
    """
    from deepstruc_hpc.core.resources import share_dir
    from deepstruc_hpc.runtime.batch_script import LIBRARY

    typer.echo(share_dir("slurm") / LIBRARY)


def _profile(cluster: str, stage: str, **changes: object) -> ClusterProfile:
    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.runtime.profile import STAGES, load_profile

    if stage not in STAGES:
        raise ConfigError(f"slurm submit {stage}: unknown stage; {STAGE_HELP} is needed.")
    return load_profile(cluster).for_stage(stage, changes)


def _job(
    stage: str, arguments: list[str], job_dir: Path | None, *, each: list[str] | None = None, at_once: int = 0, accept_failed_items: bool
) -> Job:
    from deepstruc_hpc.runtime.batch_script import Job
    from deepstruc_hpc.runtime.job_folder import array_folders, job_dir_for

    here = Path.cwd()
    place = job_dir.resolve() if job_dir else job_dir_for(arguments, here)
    folders = array_folders(each or [], here)
    return Job(stage, tuple(arguments), here, place, folders, at_once, accept_failed_items)
