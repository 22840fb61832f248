module dolmen/init

go 1.19
