module rtswap/peer

go 1.21
