define internal float @cr.exp.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.fma.f32(float %x, float 0x3FF7154760000000, float 0x4168000000000000)
  %v2 = fsub float %v1, 0x4168000000000000
  %v3 = bitcast float %v1 to i32
  %v4 = call float @llvm.fma.f32(float %v2, float 0xBFE62E8000000000, float %x)
  %v5 = call float @llvm.fma.f32(float %v2, float 0x3EFE8082E0000000, float %v4)
  %v6 = fmul float %v5, %v5
  %v7 = call float @llvm.fma.f32(float %v5, float 0x3F2A1A2D80000000, float 0x3F56D76500000000)
  %v8 = call float @llvm.fma.f32(float %v5, float %v7, float 0x3F811108E0000000)
  %v9 = call float @llvm.fma.f32(float %v5, float %v8, float 0x3FA5554AC0000000)
  %v10 = call float @llvm.fma.f32(float %v5, float %v9, float 0x3FC5555560000000)
  %v11 = call float @llvm.fma.f32(float %v5, float %v10, float 0x3FE0000000000000)
  %v12 = call float @llvm.fma.f32(float %v6, float %v11, float %v5)
  %v13 = fadd float %v12, 0x3FF0000000000000
  %v14 = bitcast float %v13 to i32
  %v15 = shl i32 %v3, 23
  %v16 = add i32 %v14, %v15
  %v17 = bitcast i32 %v16 to float
  %v18 = fcmp olt float %x, 0xC055D589E0000000
  %v19 = select i1 %v18, float 0x0000000000000000, float %v17
  %v20 = fcmp ole float %x, 0x40562E42E0000000
  %v21 = fadd float %x, 0x7FF0000000000000
  %v22 = select i1 %v20, float %v19, float %v21
  ret float %v22
}

define internal float @cr.tanh.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.fabs.f32(float %x)
  %v2 = fmul float %v1, %v1
  %v3 = fmul float %v1, %v2
  %v4 = call float @llvm.fma.f32(float %v2, float 0xBF7830D3A0000000, float 0x3F954E0600000000)
  %v5 = call float @llvm.fma.f32(float %v2, float %v4, float 0xBFAB89EE40000000)
  %v6 = call float @llvm.fma.f32(float %v2, float %v5, float 0x3FC1109DC0000000)
  %v7 = call float @llvm.fma.f32(float %v2, float %v6, float 0xBFD55553E0000000)
  %v8 = call float @llvm.fma.f32(float %v3, float %v7, float %v1)
  %v9 = fmul float %v1, 0xC000000000000000
  %v10 = call float @cr.exp.f32(float %v9)
  %v11 = fcmp olt float %v1, 0x3FE3333340000000
  %v12 = fsub float 0x3FF0000000000000, %v10
  %v13 = fadd float %v10, 0x3FF0000000000000
  %v14 = fdiv float 0x3FF0000000000000, %v13
  %v15 = fmul float %v12, %v14
  %v16 = select i1 %v11, float %v8, float %v15
  %v17 = call float @llvm.copysign.f32(float %v16, float %x)
  ret float %v17
}


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %acc.a1 = alloca float
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !4
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !5
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2, !invariant.load !6
  %a3 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %b3 = load ptr, ptr %a3, !invariant.load !7
  br label %start
start:
  store float 0x0000000000000000, ptr %acc.a1
  br label %before1
before1:
  %v5 = icmp slt i64 0, 4
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ 0, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !0
  %v8 = load float, ptr %acc.a1
  %v9 = fadd reassoc contract float %v8, %v7
  store float %v9, ptr %acc.a1
  %v10 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  %v11 = load float, ptr %v10, !llvm.access.group !0
  %v12 = fadd contract  float %v7, %v11
  %v13 = call float @cr.tanh.f32(float %v12)
  %v14 = getelementptr inbounds float, ptr %b2, i64 %body2.i
  store float %v13, ptr %v14, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v15 = icmp slt i64 %body2.next, 4
  br i1 %v15, label %body2, label %leave4, !llvm.loop !3
leave4:
  %v16 = load float, ptr %acc.a1
  store float %v16, ptr %b3
  ret void
}

define internal i32 @part0.5(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [4 x ptr]
  ; cluster 0
  %v1 = load ptr, ptr %buffers
  store ptr %v1, ptr %t0
  %v2 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v3 = load ptr, ptr %v2
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v6 = load ptr, ptr %v5
  %v7 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v6, ptr %v7
  %v8 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %v9 = load ptr, ptr %v8
  %v10 = getelementptr inbounds ptr, ptr %t0, i64 3
  store ptr %v9, ptr %v10
  call void @kernel0(ptr %t0, i64 0, i64 1)
  ret i32 0
}

define internal i32 @region1.part1.5.2(ptr noalias %buffers, ptr %context) noinline #0 {
entry:
  %table0 = alloca [4 x ptr]
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2
  br label %start
start:
  call void @llvm.memmove.p0.p0.i64(ptr %b0, ptr %b1, i64 16, i1 false)
  %v1 = getelementptr inbounds ptr, ptr %table0, i64 0
  store ptr %b0, ptr %v1
  %v2 = getelementptr inbounds ptr, ptr %table0, i64 2
  store ptr %b0, ptr %v2
  br label %before3
before3:
  %v7 = icmp slt i64 0, 5
  br i1 %v7, label %body4, label %leave6
body4:
  %body4.i = phi i64 [ 0, %before3 ], [ %body4.next, %latch5 ]
  %v8 = mul nsw i64 %body4.i, 16
  %v9 = getelementptr inbounds i8, ptr %b1, i64 %v8
  %v10 = getelementptr inbounds ptr, ptr %table0, i64 1
  store ptr %v9, ptr %v10
  %v11 = mul nsw i64 %body4.i, 4
  %v12 = getelementptr inbounds i8, ptr %b2, i64 %v11
  %v13 = getelementptr inbounds ptr, ptr %table0, i64 3
  store ptr %v12, ptr %v13
  %v14 = call i32 @part0.5(ptr %table0, ptr %context)
  %v17 = icmp ne i32 %v14, 0
  br i1 %v17, label %failed15, label %go16
failed15:
  ret i32 %v14
go16:
  %v18 = call i32 @cr.poll(ptr %context)
  %v21 = icmp ne i32 %v18, 0
  br i1 %v21, label %failed19, label %go20
failed19:
  ret i32 %v18
go20:
  br label %latch5
latch5:
  %body4.next = add nsw i64 %body4.i, 1
  %v22 = icmp slt i64 %body4.next, 5
  br i1 %v22, label %body4, label %leave6
leave6:
  ret i32 0
}

define internal i32 @part1.5(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [3 x ptr]
  ; cluster 0
  %v1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v2 = load ptr, ptr %v1
  store ptr %v2, ptr %t0
  %v3 = load ptr, ptr %buffers
  %v4 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v3, ptr %v4
  %v5 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v6 = load ptr, ptr %v5
  %v7 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v6, ptr %v7
  %v8 = call i32 @region1.part1.5.2(ptr %t0, ptr %context)
  %v11 = icmp ne i32 %v8, 0
  br i1 %v11, label %failed9, label %go10
failed9:
  ret i32 %v8
go10:
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part1.5(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = !{!"llvm.loop.unroll.disable"}
!3 = distinct !{!3, !1, !2}
!4 = !{}
!5 = !{}
!6 = !{}
!7 = !{}

