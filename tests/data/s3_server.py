"""A real S3 server for the tests: moto's, in a thread of this process, spoken to over HTTP by s3fs."""

import logging
import os
from contextlib import contextmanager


@contextmanager
def s3_server(bucket):
    """The address of a local S3 server with an empty bucket; the environment tells s3fs, here and in child processes, where it is."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    given = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        boto3.client("s3").create_bucket(Bucket=bucket)
        yield address
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _forget_connections()
        server.stop()


def _forget_connections():
    """File systems that fsspec keeps would go on asking a server that has ended."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
