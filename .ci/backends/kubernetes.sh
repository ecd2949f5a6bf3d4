obtain_kubernetes() {
    # The modules that live in the repository of Kubernetes, at the version that goes with it.
    local name staged=()
    for name in \
        api apiextensions-apiserver apimachinery apiserver cli-runtime client-go \
        cloud-provider cluster-bootstrap code-generator component-base component-helpers \
        controller-manager cri-api cri-client cri-streaming csi-translation-lib \
        dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
        kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics \
        mount-utils pod-security-admission sample-apiserver sample-cli-plugin \
        sample-controller streaming; do
        staged+=("k8s.io/$name=k8s.io/$name@v0.36.3")
    done
    services_go kubernetes k8s.io/kubernetes/cmd/kube-apiserver "${staged[@]}" \
        k8s.io/kubernetes@v1.36.3 k8s.io/kubernetes/cmd/kube-apiserver@v1.36.3 || return
    kubernetes_program=$services_found/bin/kube-apiserver
}

# None is started: tests kill theirs. It keeps its objects in an etcd, so that comes along.
start_kubernetes() {
    obtain_etcd || return
    export KRATOS_TEST_KUBERNETES=$kubernetes_program KRATOS_TEST_KUBERNETES_ETCD=$etcd_program
    "$kubernetes_program" --version >"$1/log" 2>&1
}
