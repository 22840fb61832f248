module dolmen/metadata

go 1.19
