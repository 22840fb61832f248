module dolmen/vsudd

go 1.19
