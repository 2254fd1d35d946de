"""A Kubernetes cluster behind the `Cluster` contract: jobs as Kueue workloads, through streams of the tunnel."""
