#!/usr/bin/env bash
# docker: notes what it was asked for. With ENGINE=off no engine answers.
printf 'docker %s\n' "$*" >>"$CALLS"
[ "${ENGINE:-on}" = on ]
