module eip-operator.tools/prometheus-operator

go 1.26.0

// Nothing of it is built: bin/tools takes the definitions that it ships.
require github.com/prometheus-operator/prometheus-operator v0.85.0
