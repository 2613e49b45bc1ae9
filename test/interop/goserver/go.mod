module hawser.dev/test/interop/goserver

go 1.21
