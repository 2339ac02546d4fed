#!/usr/bin/env bash
# Run a sweep, or what is left of it, on the Kubernetes cluster that kubectl points at: run.sh SWEEP
# OVERLAY: a directory of overlays/. IMAGE: the image's repository, its tag is the overlay's name. ARGS: for `zfscale run`.
# DRY_RUN=1: print the manifests, ask the cluster nothing.
set -euo pipefail

fail() { echo "$1" >&2; exit 2; }

sweep=$1 overlay=${OVERLAY:-cpu} image=${IMAGE:-zfscale} args=${ARGS:-}
here=$(cd "$(dirname "$0")" && pwd)
[ -d "$here/overlays/$overlay" ] || fail "OVERLAY=$overlay: unknown; allowed: $(cd "$here/overlays" && echo *)"
[ -f "$sweep" ] || fail "SWEEP=$sweep: no such file"
command -v kubectl >/dev/null || fail "kubectl: not found; it talks to the cluster"

# What Kubernetes takes for a name: lower case, digits and dashes, and KubeRay leaves a job 47 characters.
name=$(sed -n "s/^name:[[:space:]]*[\"']\{0,1\}\([A-Za-z0-9._-]*\).*/\1/p" "$sweep" | head -n 1)
[ -n "$name" ] || fail "$sweep: name: missing; it names the job"
job=$(echo "zfscale-$name" | tr 'A-Z._' 'a-z--' | sed 's/-*$//')
[ ${#job} -le 47 ] || fail "$sweep: name: $name: ${#name} characters; allowed on Kubernetes: 39"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/base" "$here/overlays" "$here/storage" "$work"
mkdir "$work/job"
cp -R "$work/base/per-sweep.yaml" "$work/job"
cp "$sweep" "$work/job/sweep.yaml"
cat >"$work/job/kustomization.yaml" <<END
resources: [../overlays/$overlay]
nameSuffix: "${job#zfscale}"
configMapGenerator: [{name: zfscale-sweep, files: [sweep.yaml], options: {disableNameSuffixHash: true}}]
images: [{name: zfscale, newName: "$image"}]
replacements: [{path: per-sweep.yaml}]
patches:
  - target: {kind: RayJob}
    patch: |-
      - op: replace
        path: /spec/entrypoint
        value: |-
          $(sed -n 's/^  entrypoint: //p' "$work/base/rayjob.yaml")${args:+ $args}
END
echo 'resources: [job, storage]' >"$work/kustomization.yaml"

if [ -n "${DRY_RUN:-}" ]; then
  kubectl kustomize "$work"
  exit
fi
# A RayJob runs once: one that ended makes room for the next, which finds its results on the volume.
state=$(kubectl get "rayjob/$job" --ignore-not-found -o 'jsonpath={.status.jobDeploymentStatus}')
case $state in
  Complete | Failed | ValidationFailed) kubectl delete "rayjob/$job" ;;
  ?*) echo "rayjob/$job: $state; \`kubectl delete rayjob/$job\` stops it, what is done stays"; exit ;;
esac
kubectl apply -k "$work"
