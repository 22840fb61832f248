module dolmen/update

go 1.19
