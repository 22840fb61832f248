module dolmen/cadvisor

go 1.19
