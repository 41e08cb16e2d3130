# A worker, or a whole grading machine:
#   docker build -t convgrade .
#   docker run --rm --security-opt seccomp=unconfined --security-opt systempaths=unconfined \
#     -v "$PWD:/class" -w /class convgrade convgrade grade
# The two options let the sandbox make its namespaces; 'convgrade doctor' says whether it can.
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libseccomp2 util-linux \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/convgrade
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY nbgrader_config.py ./
COPY autograder autograder
COPY source source
COPY release release
COPY solutions solutions
COPY tests/hostile tests/hostile
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

# Student code runs as an ordinary user in any case; nothing here needs root either.
RUN useradd --create-home grader
USER grader
CMD ["convgrade", "doctor"]
