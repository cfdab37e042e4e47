#!/bin/sh
# One GPU, from a bank and a published tagger to the weights of an encoder, in one command.
#
#   sh examples/cluster/distil_on_gpu.sh BANK UNLABELLED TEACHER CAPTIONS OUT [key=value ...]
#
# BANK, UNLABELLED: folders of recordings with manifest.csv. TEACHER: EfficientAT's .pt file, or a folder with it.
# CAPTIONS: a CSV file with captions, for the tokenizer. OUT: the run folder; the encoder's weights are the tensors
# `encoder.*` of OUT/model. Further arguments change the recipe (distil.yaml), as in stages.1.data.count=200000.
# A run that was stopped resumes from its last checkpoint when the same command is given again.
set -eu
[ "$#" -ge 5 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bank=$1 unlabelled=$2 teacher=$3 captions=$4 out=$5
shift 5
set -- "stages.2.data.captions=[$captions]" "$@"
for stage in 0 1; do
  set -- "stages.$stage.data.bank=$bank" "stages.$stage.data.unlabelled=$unlabelled" \
    "stages.$stage.teacher=$teacher" "$@"
done
exec "${PYTHON:-python}" -m earwitness.cli.train "$(dirname "$0")/distil.yaml" --out "$out" "$@"
