module hawser.dev/test/interop/bridgeclient

go 1.21
